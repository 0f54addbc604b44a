package config

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// validate checks each object by itself.
func (l *loading) validate() {
	for _, e := range l.all.functions {
		l.checkFunction(e)
	}
	for _, e := range l.all.pools {
		l.checkPool(e)
	}
	for _, e := range l.all.policies {
		checkPolicy(e)
	}
	for _, e := range l.all.quotas {
		checkQuota(e)
	}
	for _, e := range l.all.books {
		checkBook(e)
	}
	for _, e := range l.all.servers {
		l.checkServer(e)
	}
}

func (l *loading) checkPool(e entry[v1alpha1.Pool]) {
	spec := &e.object.Spec
	e.oneOf("spec.kind", spec.Kind, []string{"process", "kubernetes", "offline", "lambda", "scf"})
	if e.faulty("spec.kind") {
		return
	}
	if l.checks.InCluster && spec.Kind == "process" {
		e.fault("spec.kind", "process would run functions in the server's own container, beside its ledger and its keys", "kubernetes, offline, lambda, scf")
		return
	}
	e.label("spec.region", spec.Region)
	if e.written("spec.pricePlan") {
		e.label("spec.pricePlan", spec.PricePlan)
	}
	if spec.Kind == "offline" {
		checkOffline(e.source, spec)
		return
	}
	e.onlyOf("offline", "spec.offline")
	e.duration("spec.initTimeout", spec.InitTimeout, v1alpha1.Duration(time.Millisecond), 300*second)
	if slices.Contains(onPremKinds, spec.Kind) {
		e.duration("spec.keepAlive", spec.KeepAlive, v1alpha1.Duration(time.Millisecond), 24*3600*second)
		checkKeepAlive(e.source, spec.KeepAlivePolicy)
		e.onlyOf("lambda", "spec.lambda")
		e.onlyOf("scf", "spec.scf")
		e.onlyOf("lambda or scf", "spec.limits")
		checkCapacity(e.source, "spec.capacity", spec.Capacity, 1)
		if spec.Kind == "kubernetes" {
			checkKubernetes(e.source, spec.Kubernetes)
		} else {
			e.onlyOf("kubernetes or offline", "spec.kubernetes")
		}
		return
	}
	e.onlyOf("kubernetes or offline", "spec.kubernetes")
	e.onlyOf("process or kubernetes", "spec.capacity", "spec.keepAlivePolicy")
	e.onlyOf("process, kubernetes or offline", "spec.keepAlive")
	if spec.Kind == "lambda" {
		e.onlyOf("scf", "spec.scf", "spec.limits.memory", "spec.limits.rampPerMinute")
		e.endpoint("spec.lambda.endpoint", spec.Lambda.Endpoint)
		l.checkCredentials(e.source, "spec.lambda.credentials", spec.Lambda.Credentials)
	} else {
		e.onlyOf("lambda", "spec.lambda", "spec.limits.rampPer10s")
		e.endpoint("spec.scf.endpoint", spec.SCF.Endpoint)
		if u, err := url.Parse(spec.SCF.Endpoint); err == nil && strings.Trim(u.Path, "/") != "" {
			e.fault("spec.scf.endpoint", "has a path, and SCF has none", "http://HOST:PORT or https://HOST")
		}
		if !scfNamespace.MatchString(spec.SCF.Namespace) {
			e.fault("spec.scf.namespace", quoteShort(spec.SCF.Namespace)+" is not a namespace of SCF", "1 to 30 letters, digits, - and _, beginning with a letter")
		}
		l.checkCredentials(e.source, "spec.scf.credentials", spec.SCF.Credentials)
		e.memory("spec.limits.memory", spec.Limits.Memory, 64*mib, 1<<50)
		e.count("spec.limits.rampPerMinute", spec.Limits.RampPerMinute, 1, maxCount)
	}
	e.count("spec.limits.concurrency", spec.Limits.Concurrency, 1, maxCount)
	e.count("spec.limits.rampPer10s", spec.Limits.RampPer10s, 1, maxCount)
	e.count("spec.limits.requestsPerSecond", spec.Limits.RequestsPerSecond, 1, 10*maxCount)
}

// onlyOf refuses fields that pools of the other kind do not have.
func (s *source) onlyOf(kind string, paths ...string) {
	for _, path := range paths {
		if s.written(path) {
			s.fault(path, "means nothing for this kind of pool", "only with spec.kind: "+kind)
		}
	}
}

// checkCapacity allows dimensions from least up; nil is not limited.
func checkCapacity(s *source, path string, c *v1alpha1.Capacity, least int64) {
	if c == nil {
		return
	}
	s.count(path+".slots", c.Slots, least, maxCount)
	s.cpu(path+".cpu", c.CPU, v1alpha1.MilliCPU(least), maxCount*1000)
	s.memory(path+".memory", c.Memory, v1alpha1.Bytes(least*mib), 1<<50)
}

var scfNamespace = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,29}$`)

// endpoint checks a URL; an empty one is not written.
func (s *source) endpoint(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		s.fault(path, "is not a plain URL", "http://HOST:PORT or https://HOST, without user and query")
	}
}

func (l *loading) checkCredentials(s *source, path string, c *v1alpha1.Credentials) {
	switch {
	case (c.File != "") == c.Environment:
		s.fault(path, "needs one of file and environment", "{file: PATH} or {environment: true}")
	case c.File != "":
		l.checkSecretFile(s, path+".file", c.File)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
