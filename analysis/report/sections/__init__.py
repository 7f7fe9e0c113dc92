"""What the page is made of: parts, their entries, and the sections that hold them."""
