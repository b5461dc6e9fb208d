// In place of the theme's half a megabyte: its style sheet draws every icon of these pages too.
