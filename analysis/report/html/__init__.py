"""The page: template, style and embedding."""
