package node

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
)

// asWithoutRoom has those wait for whom there is no room.
type asWithoutRoom struct{ *asked }

func (a asWithoutRoom) Admit(ctx context.Context, r gate.Request) (gate.Answer, error) {
	answer, err := a.asked.Admit(ctx, r)
	if r.NoRoom {
		answer.State = gate.Waiting
	}
	return answer, err
}

// TestGuestRefused: what is promised to a pod whose guest the API server refuses is given
// back at once, and asked for again as if there were no room.
func TestGuestRefused(t *testing.T) {
	p := &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "shop", UID: "1", ResourceVersion: "1"}, Spec: asking("2")}
	p.Spec.NodeName = "node"
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: course.Condition, Status: corev1.ConditionUnknown, Reason: "Attempt1"}}}
	tried := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPost:
			tried++
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"exceeded quota: pods"}`)
		case strings.HasSuffix(r.URL.Path, "/pods"):
			io.WriteString(w, `{"kind":"PodList","apiVersion":"v1","items":[]}`)
		default:
			if r.Method == http.MethodPut {
				if err := json.NewDecoder(r.Body).Decode(p); err != nil {
					t.Error(err)
				}
				p.ResourceVersion += "0"
			}
			if err := json.NewEncoder(w).Encode(p); err != nil {
				t.Error(err)
			}
		}
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	mustBe(t, err)
	r, w := worldOf(t, "one")
	to := &asked{}
	c := coursesOf(asWithoutRoom{to})
	defer c.queue.ShutDown()
	own := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	mustBe(t, own.Add(p.DeepCopy()))
	c.client, c.room, c.recorder, c.tracked, c.virtual = client, r, record.NewFakeRecorder(10), newTracked(), corelisters.NewPodLister(own)
	c.nodes, c.guests = w.cluster.Core().V1().Nodes().Lister(), w.cluster.Core().V1().Pods().Informer().GetIndexer()
	v := virtual{nameOf(p), p.UID}
	c.memory(v.uid).answer = &course.Answer{Attempt: 1, State: course.Admitted}
	if _, err := c.advance(t.Context(), v); err != nil || tried != 1 || len(to.ends) != 0 || c.queue.Len() != 1 {
		t.Fatalf("%v: tried %d times, told %+v, %d are looked at again", err, tried, to.ends, c.queue.Len())
	}
	if m := c.memory(v.uid); m.begun != 0 || m.noRoom == nil || !m.noRoom.Refused {
		t.Errorf("what was refused counts as begun: %+v", m)
	}
	if _, err := c.advance(t.Context(), v); err != nil || tried != 1 || len(to.ends) != 1 || to.ends[0].Attempt != 1 || to.ends[0].Class != "not_executed" || to.ends[0].Reason != "GuestRefused" {
		t.Fatalf("%v: tried %d times, told %+v", err, tried, to.ends)
	}
	if _, err := c.advance(t.Context(), v); err != nil { // its status has changed
		t.Fatal(err)
	}
	if n := len(to.requests); n != 1 || to.requests[0].Attempt != 2 || !to.requests[0].NoRoom {
		t.Errorf("asked for %+v", to.requests)
	}
	if err := r.may(p); err != nil {
		t.Errorf("the room is still kept: %v", err)
	}
	if got := guest.Terminal(p); got || p.Status.Reason != "Waiting" {
		t.Errorf("it shows %s %s", p.Status.Phase, p.Status.Reason)
	}
}

// TestInVain: how often in a row nobody would run a pod is kept.
func TestInVain(t *testing.T) {
	c := coursesOf(&asked{})
	defer c.queue.ShutDown()
	_, w := worldOf(t)
	c.guests = w.cluster.Core().V1().Pods().Informer().GetIndexer()
	v := virtual{uid: "1"}
	for _, row := range []struct {
		end  course.End
		want int
	}{
		{course.End{Attempt: 1, Class: course.ClassNotExecuted, Vain: true}, 1},
		{course.End{Attempt: 2, Class: course.ClassNotExecuted, Reason: "NoRoom"}, 1},
		{course.End{Attempt: 3, Class: course.ClassNotExecuted, Vain: true}, 2},
		{course.End{Attempt: 4, Class: course.ClassExecuted, Started: time.Now(), Ended: time.Now()}, 0},
	} {
		mustBe(t, c.end(t.Context(), v, row.end))
		if f, err := c.facts(t.Context(), v, false); err != nil || f.Vain != row.want {
			t.Errorf("after %+v: %d, %v", row.end, f.Vain, err)
		}
	}
}
