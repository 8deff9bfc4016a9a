"""Charts as static SVG that follow the page's colours, by light and by dark."""
