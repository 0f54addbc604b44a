package cloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	clsVersion  = "2020-10-16"
	maxCLSPage  = 1000
	maxCLSPages = 10_000 // lines that one query gives with Context
	maxCLSQuery = 12 << 10
)

// searchRequest is the parameters of SearchLog, of the log service that SCF writes
// to.
type searchRequest struct {
	TopicID    *string `json:"TopicId"`
	From, To   *int64  // ms since 1970
	Query      *string
	SyntaxRule *int
	Limit      *int
	Context    *string
	Sort       *string
}

// topic is the log topic of a function.
func (f *function) topic() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("cls:"+f.Namespace+"/"+f.Name)).String()
}

// searchLog answers SearchLog of the Cloud Log Service.
func (s *scfFront) searchLog(w http.ResponseWriter, id string, body []byte) *scfError {
	var q searchRequest
	if refused := decodeParameters(body, &q); refused != nil {
		return refused
	}
	matches, refused := q.check()
	if refused != nil {
		return refused
	}
	var f *function
	for _, known := range s.functions {
		if known.topic() == *q.TopicID {
			f = known
		}
	}
	if f == nil {
		return &scfError{"ResourceNotFound.TopicNotExist", "the topic does not exist"}
	}
	skip, refused := q.offset()
	if refused != nil {
		return refused
	}
	events, _ := s.logs.events(f.Name)
	results, over, next := []map[string]any{}, true, 0
	for i := skip; i < len(events); i++ {
		e := events[i]
		fields := e.fields(f)
		if ms := e.at.UnixMilli(); ms < *q.From || ms > *q.To || !matches(fields) {
			continue
		}
		if len(results) == q.limit() {
			over, next = false, i
			break
		}
		text, _ := json.Marshal(fields) // strings always marshal
		results = append(results, map[string]any{
			"Time": e.at.UnixMilli(), "TopicId": f.topic(), "TopicName": "SCF_logtopic_" + f.Name, "Source": "", "FileName": "", "HostName": "",
			"PkgId": strings.ToUpper(f.topic()[:8]), "PkgLogId": strconv.Itoa(i), "LogJson": string(text),
		})
	}
	said := map[string]any{"Results": results, "ListOver": over, "Analysis": false, "Context": "", "RequestId": id}
	if !over {
		said["Context"] = q.token(next, q.seen()+len(results))
	}
	writeSCF(w, said)
	return nil
}

func (q *searchRequest) limit() int {
	if q.Limit == nil {
		return 100
	}
	return *q.Limit
}

// check refuses what SearchLog does, and returns what picks lines.
func (q *searchRequest) check() (func(map[string]string) bool, *scfError) {
	switch {
	case q.TopicID == nil || q.From == nil || q.To == nil || q.Query == nil:
		return nil, &scfError{"MissingParameter", "TopicId, From, To and Query must be there"}
	case *q.From < 0 || *q.To < *q.From:
		return nil, &scfError{"InvalidParameterValue", "From and To must be ms since 1970, in this order"}
	case q.limit() < 1 || q.limit() > maxCLSPage:
		return nil, &scfError{"InvalidParameterValue", "Limit must be 1 to 1000"}
	case value(q.Sort, "desc") != "asc":
		return nil, &scfError{"InvalidParameterValue", "the stand-in sorts asc only; Sort is desc if it is not given"}
	case q.SyntaxRule == nil || *q.SyntaxRule != 1:
		return nil, &scfError{"InvalidParameterValue", "the stand-in knows SyntaxRule 1 only, CQL"}
	case len(*q.Query) > maxCLSQuery:
		return nil, &scfError{"InvalidParameterValue", "Query may have 12 KB"}
	}
	return parseCQL(*q.Query)
}

// token continues this query and no other after a number of lines.
func (q *searchRequest) token(next, seen int) string {
	asked := uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, *q.TopicID, *q.From, *q.To, *q.Query))
	return fmt.Sprintf("%d.%d.%s", next, seen, asked)
}

func (q *searchRequest) seen() (seen int) {
	var next int
	_, _ = fmt.Sscanf(value(q.Context, "0.0."), "%d.%d.", &next, &seen) // offset has checked it
	return seen
}

func (q *searchRequest) offset() (int, *scfError) {
	if value(q.Context, "") == "" {
		return 0, nil
	}
	var next, seen int
	if _, err := fmt.Sscanf(*q.Context, "%d.%d.", &next, &seen); err != nil || q.token(next, seen) != *q.Context || next < 0 {
		return 0, &scfError{"InvalidParameter.Content", "Context is not of this query"}
	}
	if seen+q.limit() > maxCLSPages {
		return 0, &scfError{"LimitExceeded.LogSearch", "a query gives at most 10,000 lines with Context"}
	}
	return next, nil
}

// fields are a line as SCF writes it to the log service. Its figures are on the
// platform's report only.
func (e *logEvent) fields(f *function) map[string]string {
	l := e.of
	text, kind := strings.TrimSuffix(e.text, "\n"), "Custom"
	if e.platform {
		kind = "Platform"
	}
	fields := map[string]string{
		"SCF_FunctionName": f.Name, "SCF_Namespace": f.Namespace, "SCF_RequestId": l.id, "SCF_Qualifier": l.version, "SCF_Alias": scfDefault,
		"SCF_Type": kind, "SCF_Level": "INFO", "SCF_Message": text, "SCF_LogTime": strconv.FormatInt(e.at.UnixNano(), 10), "SCF_RetryNum": "0",
	}
	if e.platform && e.text == l.report {
		status := 200
		if l.code != 0 {
			status = l.code
		}
		fields["SCF_StartTime"] = strconv.FormatInt(l.ended.Add(-l.duration).UnixMilli(), 10)
		fields["SCF_Duration"] = strconv.FormatInt(l.billedMs, 10) // whole ms, rounded up as they are billed
		fields["SCF_MemUsage"] = fmt.Sprintf("%.6f", float64(l.peakBytes))
		fields["SCF_StatusCode"] = strconv.Itoa(status)
	}
	return fields
}

// cqlTerm is KEY:value, KEY:"value" or KEY:prefix*.
var cqlTerm = regexp.MustCompile(`^([A-Za-z_]+):(?:"([^"]+)"|([A-Za-z0-9_-]+)(\*)?)$`)

// parseCQL reads terms joined by AND. Keys are those of an SCF log.
func parseCQL(query string) (func(map[string]string) bool, *scfError) {
	type term struct {
		key, value string
		prefix     bool
	}
	var all []term
	for text := range strings.SplitSeq(query, " AND ") {
		m := cqlTerm.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil || !strings.HasPrefix(m[1], "SCF_") {
			return nil, &scfError{"FailedOperation.SyntaxError", "the stand-in takes terms KEY:value, KEY:\"value\" and KEY:prefix* of an SCF log, joined by AND"}
		}
		all = append(all, term{m[1], m[2] + m[3], m[4] != ""})
	}
	return func(fields map[string]string) bool {
		for _, t := range all {
			is := fields[t.key]
			if holds := is == t.value || t.prefix && strings.HasPrefix(is, t.value); !holds {
				return false
			}
		}
		return true
	}, nil
}
