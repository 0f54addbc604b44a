package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// loadFitting loads a directory with overlays. The directory must be good without
// them, since they end. An overlay with which it is not good, or not together with
// those before, is left out and said.
func loadFitting(dir string, now time.Time, checks Checks) (*Loaded, error) {
	loaded, err := loadOnce(dir, now, checks)
	var faults Faults
	if err != nil && !errors.As(err, &faults) {
		return nil, err
	}
	tried := checks
	tried.QuotaOverlays, tried.Policy, tried.WithoutCode = nil, nil, true // which no overlay changes
	_, alone := loadOnce(dir, now, tried)
	switch {
	case alone != nil && err == nil:
		return nil, fmt.Errorf("%w\nwithout what requests for quota gave (%s) this is a fault, and they may end: give those limits in the configuration directory", alone, overlayNames(checks.QuotaOverlays))
	case alone != nil:
		checks.QuotaOverlays = nil
		return loadOnce(dir, now, checks) // for the faults of the directory
	case err == nil:
		return loaded, nil
	}
	fit, misfits, failed := fitting(dir, now, tried, checks.QuotaOverlays)
	if failed != nil || len(misfits) == 0 {
		return nil, errors.Join(failed, err)
	}
	checks.QuotaOverlays = fit
	if loaded, err = loadOnce(dir, now, checks); err == nil {
		loaded.leaveOut(misfits)
	}
	return loaded, err
}

// misfit is an overlay with which a directory is not good.
type misfit struct {
	QuotaOverlay
	faults Faults
}

// fitting tries the overlays in their order.
func fitting(dir string, now time.Time, tried Checks, overlays []QuotaOverlay) (fit []QuotaOverlay, misfits []misfit, err error) {
	for _, o := range overlays {
		tried.QuotaOverlays = append(slices.Clip(fit), o)
		_, err := loadOnce(dir, now, tried)
		var faults Faults
		switch {
		case err == nil:
			fit = tried.QuotaOverlays
		case errors.As(err, &faults):
			misfits = append(misfits, misfit{o, faults})
		default:
			return nil, nil, err
		}
	}
	return fit, misfits, nil
}

func (l *Loaded) leaveOut(misfits []misfit) {
	l.Misfits = map[string]Faults{}
	if l.Conflicts == nil {
		l.Conflicts = map[string]string{}
	}
	for _, m := range misfits {
		why := fmt.Sprintf("%s does not apply to Quota %s: the configuration would not be good with it: %s", m.Name, m.Quota, m.faults[0])
		if n := len(m.faults); n > 1 {
			why += fmt.Sprintf(", and %d more", n-1)
		}
		l.Misfits[m.Name], l.Conflicts[m.Name] = m.faults, why
		l.Warnings = append(l.Warnings, why)
	}
}

func overlayNames(overlays []QuotaOverlay) string {
	names := make([]string, len(overlays))
	for i, o := range overlays {
		names[i] = o.Name + " for Quota " + o.Quota
	}
	return strings.Join(names, ", ")
}

// held are the overlays that have not ended.
func held(overlays []QuotaOverlay, now time.Time) []QuotaOverlay {
	return slices.DeleteFunc(slices.Clone(overlays), func(o QuotaOverlay) bool { return !o.Holds(now) })
}

// Holds reports whether the overlay has not ended at a time.
func (o *QuotaOverlay) Holds(at time.Time) bool { return o.Until.IsZero() || at.Before(o.Until) }
