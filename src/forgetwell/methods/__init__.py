"""Ways to unlearn: (lm, request, retain, training) → Outcome."""
