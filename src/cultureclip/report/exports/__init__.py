"""Results for others: score tables, CLIP_benchmark's files, the leaderboard."""
