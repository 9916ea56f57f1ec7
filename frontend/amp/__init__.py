"""Automatic mixed precision: `autocast` and its lists, `GradScaler`, decorators for gradients of one's own."""
