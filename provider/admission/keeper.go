package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// Name is that of the Secret with the authorities, of the Service, and of the
	// MutatingWebhookConfiguration.
	Name = "spillway-webhook"

	secretKey  = "authorities.pem" //nolint:gosec // of a Secret's data
	keptEvery  = time.Minute
	triedEvery = 2 * time.Second
)

// Keeper has what the webhook is served with, and has the API server trust it. The
// authorities are in a Secret that every process reads; who finds that it lacks one makes
// it. Keys of serving certificates stay in memory.
type Keeper struct {
	Client    kubernetes.Interface
	Namespace string   // of the Secret, which must be there; it may be empty
	Names     []string // at which the API server calls: DNS names or IP addresses
	Now       func() time.Time
	Log       *slog.Logger

	mu      sync.Mutex
	all     authorities
	by      *authority // that signed serving
	serving *tls.Certificate
}

// Refresh reads the authorities, makes one if it is time, and renews the serving
// certificate.
func (k *Keeper) Refresh(ctx context.Context) error {
	secrets := k.Client.CoreV1().Secrets(k.Namespace)
	secret, err := secrets.Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the webhook's authorities: %w", err)
	}
	there, err := decode(secret.Data[secretKey])
	if err != nil {
		k.Log.Warn("the webhook's authorities are made anew", "secret", k.Namespace+"/"+Name, "why", err)
	}
	next, changed, err := there.kept(k.Now())
	if err != nil {
		return err
	}
	if changed {
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		if secret.Data[secretKey], err = next.encode(); err != nil {
			return err
		}
		if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write the webhook's authorities: %w", err)
		}
	}
	return k.take(next)
}

func (k *Keeper) take(all authorities) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = all
	by := all.signer(k.Now())
	if k.serving != nil && k.by.cert.Equal(by.cert) && !due(k.serving.Leaf, k.Now()) {
		return nil
	}
	serving, err := by.serving(k.Names, k.Now())
	if err != nil {
		return err
	}
	k.by, k.serving = by, serving
	return nil
}

// Run refreshes until ctx ends.
func (k *Keeper) Run(ctx context.Context) { k.again(ctx, k.Refresh) }

// again does work every minute, and sooner after it has failed.
func (k *Keeper) again(ctx context.Context, work func(context.Context) error) {
	failed := false
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := work(within)
		cancel()
		wait := keptEvery
		if err != nil {
			wait = triedEvery
			if !failed && ctx.Err() == nil {
				k.Log.Warn("the webhook for opting in is not kept; pods are left as they are if this lasts", "err", err)
			}
		}
		failed = err != nil
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// errNotYet says that there is nothing to serve with.
var errNotYet = errors.New("the webhook has no certificate yet")

// Ready says whether the webhook can be called.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.serving == nil {
		return errNotYet
	}
	return nil
}

// TLS is how the webhook is listened on.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.serving == nil {
			return nil, errNotYet
		}
		return k.serving, nil
	}}
}

func (k *Keeper) bundle() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all.bundle()
}

// KeepTrusted has the API server trust the authorities, until ctx ends. One process does.
func (k *Keeper) KeepTrusted(ctx context.Context) { k.again(ctx, k.trusted) }

// trusted writes the authorities into the webhook's configuration, if it has others. A
// configuration that is not there is nobody's wish.
func (k *Keeper) trusted(ctx context.Context) error {
	if err := k.Ready(); err != nil {
		return err
	}
	want := k.bundle()
	configurations := k.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	is, err := configurations.Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the webhook's configuration: %w", err)
	}
	type client struct {
		CABundle []byte `json:"caBundle"`
	}
	type webhook struct {
		Name   string `json:"name"`
		Config client `json:"clientConfig"`
	}
	var differ []webhook
	for i := range is.Webhooks {
		if !bytes.Equal(is.Webhooks[i].ClientConfig.CABundle, want) {
			differ = append(differ, webhook{is.Webhooks[i].Name, client{want}})
		}
	}
	if len(differ) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"webhooks": differ})
	if err != nil {
		return err
	}
	if _, err := configurations.Patch(ctx, Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("have the API server trust the webhook: %w", err)
	}
	return nil
}
