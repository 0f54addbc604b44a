package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config"
)

// stored is an object as a file has it.
type stored struct{ text json.RawMessage }

// Written implements config.Object. The text is of a known kind, which readObjects saw.
func (s stored) Written() any {
	o, _ := decodeObject(s.text)
	return o
}

// WriteObjects writes objects for ReadObjects, one a line.
func WriteObjects(w io.Writer, objects []config.Object) error {
	e := json.NewEncoder(w)
	for _, o := range objects {
		if err := e.Encode(o.Written()); err != nil {
			return fmt.Errorf("write objects down: %w", err)
		}
	}
	return nil
}

// ReadObjects reads what WriteObjects wrote. Whether they are good is for the loader.
func ReadObjects(text []byte) ([]config.Object, error) {
	var all []config.Object
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var o stored
		switch err := d.Decode(&o.text); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read objects that were written down: %w", err)
		}
		if _, err := decodeObject(o.text); err != nil {
			return nil, fmt.Errorf("read objects that were written down: %w", err)
		}
		all = append(all, o)
	}
}

func decodeObject(text []byte) (any, error) {
	var of v1alpha1.Header
	if err := json.Unmarshal(text, &of); err != nil {
		return nil, err
	}
	switch of.Kind {
	case v1alpha1.KindFunction:
		return decodeInto(text, new(v1alpha1.Function))
	case v1alpha1.KindPool:
		return decodeInto(text, new(v1alpha1.Pool))
	case v1alpha1.KindQuota:
		return decodeInto(text, new(v1alpha1.Quota))
	case v1alpha1.KindBurstPolicy:
		return decodeInto(text, new(v1alpha1.BurstPolicy))
	case v1alpha1.KindPriceBook:
		return decodeInto(text, new(v1alpha1.PriceBook))
	}
	return nil, fmt.Errorf("kind %.40q is none of a cluster's", of.Kind)
}

func decodeInto[T any](text []byte, o *T) (any, error) {
	if err := json.Unmarshal(text, o); err != nil {
		return nil, err
	}
	return o, nil
}
