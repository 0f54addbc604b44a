package v1alpha1

// Copies of what holds a time.Time, which the generator does not know to be a value.

// DeepCopyInto writes a copy to out.
func (d *Date) DeepCopyInto(out *Date) { *out = *d }

// DeepCopy returns a copy.
func (d *Date) DeepCopy() *Date {
	if d == nil {
		return nil
	}
	return new(*d)
}

// DeepCopyInto writes a copy to out.
func (e *QuotaEvent) DeepCopyInto(out *QuotaEvent) {
	*out = *e
	if e.Before != nil {
		out.Before = e.Before.DeepCopy()
	}
	if e.After != nil {
		out.After = e.After.DeepCopy()
	}
}

// DeepCopyInto writes a copy to out.
func (s *QuotaSimulation) DeepCopyInto(out *QuotaSimulation) {
	*out = *s
	s.Present.DeepCopyInto(&out.Present)
	s.Asked.DeepCopyInto(&out.Asked)
}

// DeepCopy returns a copy.
func (s *QuotaSimulation) DeepCopy() *QuotaSimulation {
	if s == nil {
		return nil
	}
	out := new(QuotaSimulation)
	s.DeepCopyInto(out)
	return out
}

// DeepCopyInto writes a copy to out.
func (s *QuotaRequestSpec) DeepCopyInto(out *QuotaRequestSpec) {
	*out = *s
	s.Nominal.DeepCopyInto(&out.Nominal)
	if s.Budgets != nil {
		out.Budgets = make([]Budget, len(s.Budgets))
		for i := range s.Budgets {
			s.Budgets[i].DeepCopyInto(&out.Budgets[i])
		}
	}
	if s.Until != nil {
		out.Until = new(*s.Until)
	}
}
