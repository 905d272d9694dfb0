"""What stands behind the pages: attacks of outsiders, the log of past attempts, and the tables of archived records."""
