"""Many methods on many scans: suites, figures from maps alone, the leaderboard."""
