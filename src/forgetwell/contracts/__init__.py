"""What every item must keep, whoever wrote it; ``forgetwell check mine.py`` tries it on one's own."""
