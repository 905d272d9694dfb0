"""Rows in: read strictly, cleaned, counted, checked."""
