package admission

import (
	"crypto/x509"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func kept(t *testing.T, all authorities, now time.Time, many int, changes bool) authorities {
	t.Helper()
	next, changed, err := all.kept(now)
	if err != nil || len(next) != many || changed != changes {
		t.Fatalf("%s: %d authorities, changed %v, %v; want %d, %v", now, len(next), changed, err, many, changes)
	}
	text, err := next.encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := decode(text)
	if err != nil || len(read) != many {
		t.Fatalf("read again: %d, %v", len(read), err)
	}
	for i := range read {
		if !read[i].cert.Equal(next[i].cert) {
			t.Errorf("authority %d is another after it was written and read", i)
		}
	}
	return read
}

// TestAuthorities follows them through two lives. Whoever trusted the bundle of an hour
// ago trusts what is served now.
func TestAuthorities(t *testing.T) {
	all := kept(t, nil, began, 1, true)
	first := all[0]
	if !all.signer(began).cert.Equal(first.cert) {
		t.Error("the first signs at once: there is no other")
	}
	all = kept(t, all, began.Add(authorityLife/2), 1, false)
	later := began.Add(authorityLife*2/3 + 24*time.Hour)
	all = kept(t, all, later, 2, true)
	if !all.signer(later.Add(learnedWithin - time.Second)).cert.Equal(first.cert) {
		t.Error("an authority signs before the API server knows it")
	}
	if !all.signer(later.Add(learnedWithin)).cert.Equal(all[0].cert) {
		t.Error("the newer one never signs")
	}
	all = kept(t, all, began.Add(authorityLife), 1, true)
	if all[0].cert.Equal(first.cert) {
		t.Error("one that has ended is kept")
	}

	trusted := []byte(nil)
	all = nil
	for now := began; now.Before(began.Add(2 * authorityLife)); now = now.Add(learnedWithin) {
		next, _, err := all.kept(now)
		if err != nil {
			t.Fatal(err)
		}
		by := next.signer(now)
		if trusted == nil {
			trusted = next.bundle()
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(trusted)
		if _, err := by.cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Fatalf("%s: %v", now, err)
		}
		all, trusted = next, next.bundle()
	}
}

func TestServing(t *testing.T) {
	a, err := newAuthority(began)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.serving([]string{"spillway-webhook.spillway-system.svc", "127.0.0.1"}, began)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	for name, good := range map[string]bool{"spillway-webhook.spillway-system.svc": true, "127.0.0.1": true, "kubernetes.default.svc": false} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: began}); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	for after, is := range map[time.Duration]bool{0: false, servingLife / 2: false, servingLife * 3 / 4: true} {
		if due(cert.Leaf, began.Add(after)) != is {
			t.Errorf("after %s: due %v", after, !is)
		}
	}
	last, err := a.serving([]string{"x"}, began.Add(authorityLife-time.Hour))
	if err != nil || last.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Errorf("a certificate outlives its authority: %v", err)
	}
}

// FuzzDecode: whatever is in the Secret is refused, or can be written again.
func FuzzDecode(f *testing.F) {
	a, err := newAuthority(began)
	if err != nil {
		f.Fatal(err)
	}
	text, err := authorities{a}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := decode(text)
		if err != nil {
			return
		}
		if _, err := all.encode(); err != nil {
			t.Error(err)
		}
	})
}
