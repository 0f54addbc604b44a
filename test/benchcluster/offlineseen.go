package main

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// sight is when something was first seen of a pod.
type sight struct{ bound, asked, over time.Time }

// sightings are of all pods, by name. Safe for use by many goroutines.
type sightings struct {
	mu   sync.Mutex
	pods map[string]sight
}

// watch follows all pods until ctx ends.
func (o *offline) watch(ctx context.Context) (*sightings, error) {
	s := &sightings{pods: map[string]sight{}}
	pods, err := o.client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{TimeoutSeconds: new(int64(4 * 3600))})
	if err != nil {
		return nil, err
	}
	go s.follow(pods)
	return s, nil
}

func (s *sightings) follow(pods watch.Interface) {
	for e := range pods.ResultChan() {
		p, ok := e.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		now := time.Now()
		s.mu.Lock()
		at := s.pods[p.Name]
		first(&at.bound, now, p.Spec.NodeName != "")
		first(&at.asked, now, p.DeletionTimestamp != nil)
		first(&at.over, now, e.Type == watch.Deleted || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed)
		s.pods[p.Name] = at
		s.mu.Unlock()
	}
}

func first(at *time.Time, now time.Time, is bool) {
	if is && at.IsZero() {
		*at = now
	}
}

func (s *sightings) of(name string) sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[name]
}
