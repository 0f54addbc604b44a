package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// serving is what the server says of its configuration.
type serving struct {
	Generation int64  `json:"generation"`
	Revision   string `json:"revision"`
	Changed    bool   `json:"changed"`
	Error      string `json:"error"`
}

// config asks what serves.
func (w *world) config(ctx context.Context) (s serving, err error) {
	err = w.get(ctx, w.admin+"/v1/config", &s)
	return s, err
}

// reload has the server load its files again, as 'spillway reload' does. A refusal
// is no error: it is in what the server says.
func (w *world) reload(ctx context.Context) (status int, said serving, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.admin+"/v1/reload", nil)
	if err != nil {
		return 0, said, err
	}
	status, body, err := w.send(r)
	if err != nil {
		return status, said, err
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return status, said, fmt.Errorf("%s answered %d: %s", r.URL, status, bytes.TrimSpace(body))
	}
	return status, said, nil
}

// inject makes a stand-in misbehave.
func (w *world) inject(ctx context.Context, f weather) error {
	body, err := json.Marshal(f.Fault)
	if err != nil {
		return fmt.Errorf("inject a fault: %w", err)
	}
	for _, c := range w.clouds {
		if c.pool != f.Pool {
			continue
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.admin+"/faults", bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("inject a fault: %w", err)
		}
		r.Header.Set("Content-Type", "application/json")
		status, said, err := w.send(r)
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("%s answered %d: %s", r.URL, status, bytes.TrimSpace(said))
		}
		if err != nil {
			return fmt.Errorf("inject a fault: %w", err)
		}
	}
	return nil
}

// get decodes what url answers into a value, or into nothing.
func (w *world) get(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	status, body, err := w.send(r)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("%s answered %d: %s", url, status, bytes.TrimSpace(body))
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

func (w *world) send(r *http.Request) (status int, body []byte, err error) {
	resp, err := w.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", r.URL, err)
	}
	return resp.StatusCode, body, nil
}
