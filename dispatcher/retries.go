package dispatcher

// A retryBudget bounds how often cloud calls are placed again: at most a fifth of
// what is sent for the first time, and a few at the start. See Google, Site
// Reliability Engineering, "Handling Overload", per-client retry budget.
type retryBudget struct{ tokens int64 }

const (
	tokensPerSend  = 1
	tokensPerRetry = 5
	maxTokens      = 100 * tokensPerRetry
)

func newRetryBudget() retryBudget { return retryBudget{tokens: 3 * tokensPerRetry} }

func (b *retryBudget) allows() bool { return b.tokens >= tokensPerRetry }

// spend counts one send, the first of its call or a repeated one. It reports that a
// retry, which was not allowed before, is now.
func (b *retryBudget) spend(repeated bool) (refilled bool) {
	if repeated {
		b.tokens -= tokensPerRetry
		return false
	}
	short := !b.allows()
	b.tokens = min(b.tokens+tokensPerSend, maxTokens)
	return short && b.allows()
}
