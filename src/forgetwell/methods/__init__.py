"""Ways to unlearn: (lm, request, retain, run) → Outcome."""
