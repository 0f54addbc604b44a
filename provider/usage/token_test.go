package usage_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
	"github.com/spillway-dev/spillway/provider/usage"
)

// TestToken: kubelets are shown the token of an account of its own, the same one as long as
// it is good; without the account there is an error, and a token once it is there.
func TestToken(t *testing.T) {
	client, now := kubernetes.NewForConfigOrDie(apiserver.Start(t)), time.Now()
	token := &usage.Token{Client: client, Namespace: "default", Now: func() time.Time { return now }}
	current := func() (text string, err error) { // again if a busy machine does not answer in time
		for text, err = token.Current(t.Context()); errors.Is(err, context.DeadlineExceeded); text, err = token.Current(t.Context()) {
			now = now.Add(time.Minute)
		}
		return text, err
	}
	if text, err := current(); err == nil || text != "" {
		t.Errorf("without the account: %v", err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: usage.Account}}
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	first, err := current()
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: first}}, metav1.CreateOptions{})
	if err != nil || review.Status.User.Username != "system:serviceaccount:default:"+usage.Account {
		t.Errorf("it is the token of %+v, %v", review.Status, err)
	}
	now = now.Add(30 * time.Minute)
	if again, err := current(); err != nil || again != first {
		t.Errorf("it is another after half its life: %v", err)
	}
	now = now.Add(20 * time.Minute)
	second, err := current()
	if err != nil || second == first {
		t.Errorf("it is the same shortly before its end: %v", err)
	}

	token.Refused(first) // which is shown no longer
	token.Refused(second)
	if again, err := current(); err != nil || again != second {
		t.Errorf("another is asked for although it is new: %v", err)
	}
	now = now.Add(2 * time.Minute)
	if again, err := current(); err != nil || again == second {
		t.Errorf("a kubelet has refused it, and it is shown again: %v", err)
	}
}

// held holds back requests until it is closed.
type held struct {
	http.RoundTripper
	asked, release chan struct{}
}

func (h held) RoundTrip(r *http.Request) (*http.Response, error) {
	close(h.asked) // once, or there are two requests
	select {
	case <-h.release:
		return h.RoundTripper.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// TestTokenOfMany: whoever asks first and goes away takes it from no other, and who waits
// for another's question waits no longer than it wants to.
func TestTokenOfMany(t *testing.T) {
	config := apiserver.Start(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: usage.Account}}
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return held{next, asked, release} })
	token := &usage.Token{Client: kubernetes.NewForConfigOrDie(config), Namespace: "default", Now: time.Now}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 2)
	ask := func(ctx context.Context) {
		text, err := token.Current(ctx)
		answers <- answer{text, err}
	}
	leaves, leave := context.WithCancel(t.Context())
	go ask(leaves)
	<-asked
	leave()
	if _, err := token.Current(leaves); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone waits on: %v", err)
	}
	go ask(t.Context())
	close(release)
	first, second := <-answers, <-answers
	if first.err != nil || second.err != nil || first.text == "" || first.text != second.text {
		t.Errorf("%v, and %v", first.err, second.err)
	}
}
