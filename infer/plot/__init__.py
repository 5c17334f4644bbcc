"""What figures share: style, axes, inline SVG."""
