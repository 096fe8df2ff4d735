"""Where agents work: git worktrees made from the caller's tree, their changes, and how these are brought back."""
