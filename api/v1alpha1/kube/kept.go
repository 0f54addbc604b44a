package kube

import "time"

// Kept returns the revisions that the function had before, and what their code was: a
// revision of the same name has the same code for good.
func (o *Function) Kept() map[string]string {
	kept := make(map[string]string, len(o.Status.Revisions))
	for _, r := range o.Status.Revisions {
		kept[r.Name] = r.Code
	}
	return kept
}

// Made returns when the quota was created: of two that claim one namespace, the younger
// has the fault.
func (o *Quota) Made() time.Time { return o.CreationTimestamp.Time }
