"""Common parts of figures: style, axes, inline SVG."""
