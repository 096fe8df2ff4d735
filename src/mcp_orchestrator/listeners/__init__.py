"""Where clients connect: HTTP and stdio, each serving both protocol eras at the same endpoint."""
