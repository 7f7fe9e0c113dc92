"""Parts of the page, their entries, and the sections that hold them."""
