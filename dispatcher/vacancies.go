package dispatcher

import "github.com/spillway-dev/spillway"

// maxGroups bounds what is remembered of the places without an instance of one
// function, however many there are.
const maxGroups = 16

// vacancy is n places of a function without an instance, last in use at about the
// same time.
type vacancy struct {
	since  spillway.Instant // the newest of them
	oldest spillway.Instant
	retry  spillway.Instant // no instance is started for them before this
	n      int
	coming int // of them, those for which an instance is being started
}

// vacancies are the places of a function that have no instance.
type vacancies struct {
	groups []vacancy // by since, the newest last
	coming int       // of all groups
}

// newest is when the place was in use that a call needs first.
func (v *vacancies) newest() (spillway.Instant, bool) {
	if len(v.groups) == 0 {
		return 0, false
	}
	return v.groups[len(v.groups)-1].since, true
}

// after is how many places were last in use after an instant.
func (v *vacancies) after(since spillway.Instant) int {
	n := 0
	for i := len(v.groups) - 1; i >= 0 && v.groups[i].since > since; i-- {
		n += v.groups[i].n
	}
	return n
}

// drop takes the newest place out.
func (v *vacancies) drop() {
	last := len(v.groups) - 1
	g := &v.groups[last]
	if g.n--; g.coming > g.n {
		g.coming--
		v.coming--
	}
	if g.n == 0 {
		v.groups = v.groups[:last]
	}
}

// add puts a place in. Places last used in the same second are one group; when there
// are too many groups, the two that are closest become one.
func (v *vacancies) add(since, retry spillway.Instant) {
	if v.groups == nil {
		v.groups = make([]vacancy, 0, maxGroups)
	}
	at := len(v.groups)
	for at > 0 && v.groups[at-1].since > since {
		at--
	}
	if at > 0 && since.Sub(v.groups[at-1].since) < checkEvery {
		v.groups[at-1].n++
		v.groups[at-1].since = max(since, v.groups[at-1].since)
		v.groups[at-1].retry = max(v.groups[at-1].retry, retry)
		return
	}
	if len(v.groups) == maxGroups {
		if i := v.merge(); i < at {
			at--
		}
	}
	v.groups = append(v.groups, vacancy{})
	copy(v.groups[at+1:], v.groups[at:])
	v.groups[at] = vacancy{since: since, oldest: since, retry: retry, n: 1}
}

// merge makes one group of the two neighbours that are closest in time, and returns
// the position of the older.
func (v *vacancies) merge() int {
	best := 0
	for i := range len(v.groups) - 1 {
		if v.groups[i+1].since.Sub(v.groups[i].since) < v.groups[best+1].since.Sub(v.groups[best].since) {
			best = i
		}
	}
	older, newer := v.groups[best], &v.groups[best+1]
	newer.n += older.n
	newer.oldest = older.oldest
	newer.coming += older.coming
	newer.retry = max(newer.retry, older.retry)
	v.groups = append(v.groups[:best], v.groups[best+1:]...)
	return best
}

// arrived takes out the newest place for which an instance was being started, if one
// has been, and returns when the place was in use.
func (v *vacancies) arrived(started bool) (spillway.Instant, bool) {
	if !started || v.coming == 0 {
		return 0, false
	}
	for i := len(v.groups) - 1; i >= 0; i-- {
		if g := &v.groups[i]; g.coming > 0 {
			since := g.since
			g.n, g.coming, v.coming = g.n-1, g.coming-1, v.coming-1
			if g.n == 0 {
				v.groups = append(v.groups[:i], v.groups[i+1:]...)
			}
			return since, true
		}
	}
	return 0, false
}

// atMost notes that no more than so many are coming, the others went to calls or failed,
// and reports whether there were more. Their places stay, to be started not before retry.
func (v *vacancies) atMost(coming int, retry spillway.Instant) bool {
	more := v.coming > coming
	for i := len(v.groups) - 1; v.coming > coming; i-- {
		g := &v.groups[i]
		if n := min(g.coming, v.coming-coming); n > 0 {
			g.coming, v.coming, g.retry = g.coming-n, v.coming-n, max(g.retry, retry)
		}
	}
	return more
}
