"""From a raw exam to a scan that a method can score, and back."""
