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

// spend counts one send, the first of its call or a repeated one.
func (b *retryBudget) spend(repeated bool) {
	if repeated {
		b.tokens -= tokensPerRetry
	} else {
		b.tokens = min(b.tokens+tokensPerSend, maxTokens)
	}
}
