package check

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	atOnce = 16               // checks that are asked at the same time
	each   = 10 * time.Second // for one check
	whole  = 25 * time.Second // for all of them together
	probes = 60 * time.Second // more for those that start pods
)

// Run asks every check of the table, and gives their results in its order. progress hears of each that has ended.
func Run(ctx context.Context, site *Site, table []Check, progress func(done, of int)) []Result {
	limit, one := whole, each
	if site.ProbeNetwork || site.ProbeImages {
		limit, one = limit+probes, one+probes
	}
	return run(ctx, site, table, one, limit, progress)
}

// run gives each check so long, and all of them together.
func run(ctx context.Context, site *Site, table []Check, one, limit time.Duration, progress func(done, of int)) []Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	site.limit = one
	results := make([]Result, len(table))
	slots, ended := make(chan struct{}, atOnce), 0
	var group sync.WaitGroup
	var lock sync.Mutex
	for i, check := range table {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = ask(ctx, site, check, one)
			lock.Lock()
			defer lock.Unlock()
			if ended++; progress != nil {
				progress(ended, len(table))
			}
		})
	}
	group.Wait()
	return results
}

// ask puts one question. A check that does not heed its time is left behind, so that the others' answers are not kept back by it.
func ask(ctx context.Context, site *Site, check Check, limit time.Duration) Result {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answered := make(chan Finding, 1)
	go func() { answered <- site.answer(ctx, check) }()
	var found Finding
	select {
	case found = <-answered:
	case <-ctx.Done():
		found = silent(errors.New("no answer within " + limit.String()))
		if errors.Is(ctx.Err(), context.Canceled) {
			found = silent(errors.New("stopped by a signal"))
		}
	}
	result := Result{ID: check.ID, Group: check.Group, Title: check.Title, State: found.State, Found: found.Found, Fix: found.Fix,
		Unknown: found.Unknown, took: time.Since(began), changes: found.Changes}
	result.Seconds = result.took.Round(time.Millisecond).Seconds()
	if found.State == Warning || found.State == Missing {
		result.Why = check.Why
	}
	return result
}

// answer asks the check, unless what it needs was not given.
func (s *Site) answer(ctx context.Context, check Check) Finding {
	if why := s.lacks(check.Group); why != "" {
		return skipped("%s", why)
	}
	return check.ask(ctx, s)
}

// Select keeps the checks that the names choose: ids, or whole groups. An unknown name is given back.
func Select(table []Check, names []string) (chosen []Check, unknown string) {
	if len(names) == 0 {
		return table, ""
	}
	for _, name := range names {
		if !slices.ContainsFunc(table, func(c Check) bool { return c.ID == name || c.Group == name }) {
			return nil, name
		}
	}
	for _, check := range table {
		if slices.Contains(names, check.ID) || slices.Contains(names, check.Group) {
			chosen = append(chosen, check)
		}
	}
	return chosen, ""
}

// fact is something that several checks need, and that is asked once. The first one that needs it begins to ask; it goes on
// where that check runs out of time, since the others wait for it too.
type fact[T any] struct {
	once  sync.Once
	done  chan struct{}
	value T
	err   error
}

func (f *fact[T]) get(ctx context.Context, limit time.Duration, load func(context.Context) (T, error)) (T, error) {
	f.once.Do(func() {
		f.done = make(chan struct{})
		loading, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		go func() {
			defer close(f.done)
			defer cancel()
			f.value, f.err = load(loading)
		}()
	})
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
