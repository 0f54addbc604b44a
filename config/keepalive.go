package config

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// fillKeepAlive gives a policy that is written the parameters of its kind.
func fillKeepAlive(k *v1alpha1.KeepAlivePolicy) {
	if k == nil {
		return
	}
	setDefault(&k.Kind, "fixed")
	switch k.Kind {
	case "hybrid":
		setDefault(&k.Head, new(int64(5)))
		setDefault(&k.Tail, new(int64(99)))
		setDefault(&k.Margin, new(int64(10)))
	case "forecast":
		setDefault(&k.Worth, new(1800*second))
	case "provisioned":
		setDefault(&k.Share, new(int64(10)))
		setDefault(&k.Window, new(3600*second))
	case "windows":
		setDefault(&k.Stable, new(60*second))
		setDefault(&k.Panic, new(int64(10)))
		setDefault(&k.Target, new(int64(70)))
	}
}

// keepAliveFields are the parameters of each kind of policy.
var keepAliveFields = map[string][]string{"fixed": nil, "hybrid": {"head", "tail", "margin"}, "forecast": {"worth"}, "provisioned": {"share", "window"},
	"windows": {"stable", "panic", "target"}}

func checkKeepAlive(s *source, k *v1alpha1.KeepAlivePolicy) {
	const path = "spec.keepAlivePolicy"
	if k == nil {
		return
	}
	s.oneOf(path+".kind", k.Kind, []string{"fixed", "hybrid", "forecast", "provisioned", "windows"})
	if s.faulty(path + ".kind") {
		return
	}
	for _, kind := range sortedKeys(keepAliveFields) {
		for _, field := range keepAliveFields[kind] {
			if kind != k.Kind && s.written(path+"."+field) {
				s.fault(path+"."+field, "means nothing for kind "+k.Kind, "only with kind: "+kind)
			}
		}
	}
	switch k.Kind {
	case "hybrid":
		s.count(path+".head", k.Head, 0, 50)
		s.count(path+".tail", k.Tail, 51, 100)
		s.count(path+".margin", k.Margin, 0, 90)
	case "forecast":
		s.duration(path+".worth", k.Worth, 60*second, 24*3600*second)
	case "provisioned":
		s.count(path+".share", k.Share, 1, 100)
		s.duration(path+".window", k.Window, 60*second, 24*3600*second)
	case "windows":
		s.duration(path+".stable", k.Stable, 10*second, 3600*second)
		s.count(path+".panic", k.Panic, 1, 100)
		s.count(path+".target", k.Target, 1, 100)
	}
}

// compileKeepAlive takes over the parameters of the policy's kind; none is fixed.
func compileKeepAlive(k *v1alpha1.KeepAlivePolicy) spillway.KeepAlivePolicy {
	if k == nil {
		return spillway.KeepAlivePolicy{}
	}
	switch k.Kind {
	case "hybrid":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveHybrid, HeadPercent: *k.Head, TailPercent: *k.Tail, MarginPercent: *k.Margin}
	case "forecast":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveForecast, Worth: time.Duration(*k.Worth)}
	case "provisioned":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveProvisioned, SharePercent: *k.Share, Window: time.Duration(*k.Window)}
	case "windows":
		return spillway.KeepAlivePolicy{Kind: spillway.KeepAliveWindows, Stable: time.Duration(*k.Stable), PanicPercent: *k.Panic, TargetPercent: *k.Target}
	}
	return spillway.KeepAlivePolicy{}
}
