package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/requested"
)

// quotaRequestView is a request as the admin port shows it.
type quotaRequestView struct {
	v1alpha1.QuotaRequest
	// Applies says whether the limits of an approved request hold now; if they do
	// not, Why says why.
	Applies bool   `json:"applies"`
	Why     string `json:"why,omitempty"`
	// Limits are those that the Quota has now; nil if there is none any more.
	Limits    *v1alpha1.QuotaLimits `json:"limits,omitempty"`
	Approvers []string              `json:"approvers,omitempty"`
}

// quotaRequestList is requests, oldest first, and whether there are more.
type quotaRequestList struct {
	Requests []quotaRequestView `json:"requests"`
	More     bool               `json:"more,omitempty"`
}

func viewOf(r *v1alpha1.QuotaRequest, l *config.Loaded) quotaRequestView {
	v := quotaRequestView{QuotaRequest: *r}
	v.Approvers, _ = l.Approvers(r.Spec.Quota)
	if q := l.Quota(r.Spec.Quota); q != nil {
		v.Limits = &v1alpha1.QuotaLimits{Nominal: q.Spec.Nominal, Budgets: q.Spec.Budgets}
	}
	switch until := r.Spec.Until; {
	case r.Status.Phase != v1alpha1.PhaseApproved:
	case until != nil && !time.Now().Before(*until):
		v.Why = "it ended " + until.Format(time.RFC3339)
	case l.Conflicts[r.Metadata.Name] != "":
		v.Why = l.Conflicts[r.Metadata.Name]
	default:
		v.Applies = true
	}
	return v
}

// maxQuotaPage is how many bytes of requests a list has, and one more.
const maxQuotaPage = 1 << 20

func (a *app) listQuotaRequests(w http.ResponseWriter, r *http.Request) {
	skip := 0
	if text := r.URL.Query().Get("skip"); text != "" {
		var err error
		if skip, err = strconv.Atoi(text); err != nil || skip < 0 {
			a.sayQuotaProblem(w, requested.Problem(fmt.Sprintf("skip: %.40q is not a number of requests", text)))
			return
		}
	}
	all, err := a.quotaRequests()
	if err != nil {
		a.sayQuotaProblem(w, err)
		return
	}
	list := quotaRequestList{Requests: []quotaRequestView{}}
	for bytes := 0; skip < len(all) && !list.More; skip++ {
		text, err := json.Marshal(all[skip])
		if err != nil {
			a.sayQuotaProblem(w, err)
			return
		}
		bytes += len(text)
		list.Requests = append(list.Requests, all[skip])
		list.More = bytes >= maxQuotaPage && skip+1 < len(all)
	}
	answerJSON(w, http.StatusOK, list) // nothing waits for who reads it
}

func (a *app) quotaRequests() ([]quotaRequestView, error) {
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	all, err := a.requested.All()
	views := make([]quotaRequestView, len(all))
	for i := range all {
		views[i] = viewOf(&all[i], a.live.loaded)
	}
	return views, err
}
