"""What texts are made of, how features go with labels, and what looks planted. `antivenom inspect` needs only this."""
