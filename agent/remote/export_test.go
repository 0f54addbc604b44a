package remote

import "time"

// SetGraces shortens what an agent is given after a deadline or a cancellation.
func (c *Client) SetGraces(d time.Duration) { c.graces = graces{d, d, d} }

// SetPatience shortens what a caller is given to send or read.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }
