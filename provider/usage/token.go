package usage

import (
	"context"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Account is the service account whose token kubelets are shown. It may ask what pods use
// and nothing else: who has one machine has what is shown to its kubelet.
const Account = "spillway-node-usage"

const (
	tokenSeconds = 3600
	tokenWithin  = 5 * time.Second // an answer, or there is none
	tokenAgain   = 5 * time.Second // after none was given
	// tokenLasts is how long a token is shown at least, whoever refuses it.
	tokenLasts = time.Minute
)

// Token is the token of Account. Safe for use by many goroutines.
type Token struct {
	Client    kubernetes.Interface
	Namespace string // of Account
	Now       func() time.Time

	mu     sync.Mutex
	text   string
	err    error
	given  time.Time     // when the answer was
	until  time.Time     // when it is asked for again
	asking chan struct{} // closed when it is answered; nil: nobody asks
}

// Current is a token that is good for a while, or why there is none. Of many callers one
// asks for all, and does so to the end: whoever goes away takes no answer from the others.
func (t *Token) Current(ctx context.Context) (string, error) {
	t.mu.Lock()
	if t.Now().Before(t.until) {
		defer t.mu.Unlock()
		return t.text, t.err
	}
	asking, first := t.asking, t.asking == nil
	if first {
		asking = make(chan struct{})
		t.asking = asking
	}
	t.mu.Unlock()
	if first {
		return t.ask(context.WithoutCancel(ctx))
	}
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the token of ServiceAccount %s/%s: %w", t.Namespace, Account, ctx.Err())
	case <-asking:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text, t.err
}

func (t *Token) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenWithin)
	defer cancel()
	seconds := int64(tokenSeconds)
	asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	made, err := t.Client.CoreV1().ServiceAccounts(t.Namespace).CreateToken(ctx, Account, asked, metav1.CreateOptions{})
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.asking)
	t.asking, t.given = nil, t.Now()
	if err != nil {
		t.text, t.err, t.until = "", fmt.Errorf("ask for the token of ServiceAccount %s/%s, which kubelets are shown: %w", t.Namespace, Account, err), t.given.Add(tokenAgain)
		return "", t.err
	}
	good := made.Status.ExpirationTimestamp.Sub(t.given)
	t.text, t.err, t.until = made.Status.Token, nil, t.given.Add(good*2/3)
	return t.text, nil
}

// Refused has another asked for: a kubelet does not know text, perhaps because its account
// was made anew.
func (t *Token) Refused(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.given.Add(tokenLasts); text == t.text && t.err == nil && at.Before(t.until) {
		t.until = at
	}
}
