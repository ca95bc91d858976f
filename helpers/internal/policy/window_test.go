package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func closedBy(t *testing.T, windows ...string) *Production {
	t.Helper()
	p := &Production{}
	for i := 0; i < len(windows); i += 2 {
		zone, err := time.LoadLocation(windows[i+1])
		require.NoError(t, err)
		w := Window{zone: zone, Reason: windows[i]}
		require.Empty(t, w.read(windows[i]))
		p.Windows = append(p.Windows, w)
	}
	return p
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	found, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return found
}

func TestWindows(t *testing.T) {
	const weekend, berlin = "Fri 16:00 - Mon 07:00", "Europe/Berlin"
	for name, c := range map[string]struct {
		windows []string
		now     string
		closed  bool
		until   string // of this closing, or of the next one; empty: none comes
	}{
		"before the weekend":           {[]string{weekend, berlin}, "2026-12-04T14:59:59Z", false, "2026-12-07T06:00:00Z"},
		"as it begins":                 {[]string{weekend, berlin}, "2026-12-04T15:00:00Z", true, "2026-12-07T06:00:00Z"},
		"on Sunday":                    {[]string{weekend, berlin}, "2026-12-06T23:00:00Z", true, "2026-12-07T06:00:00Z"},
		"as it ends":                   {[]string{weekend, berlin}, "2026-12-07T06:00:00Z", false, "2026-12-14T06:00:00Z"},
		"in summer":                    {[]string{weekend, berlin}, "2026-07-03T14:00:00Z", true, "2026-07-06T05:00:00Z"},
		"the weekend the clocks go on": {[]string{weekend, berlin}, "2026-03-27T15:00:00Z", true, "2026-03-30T05:00:00Z"},
		"the weekend they go back":     {[]string{weekend, berlin}, "2026-10-23T14:00:00Z", true, "2026-10-26T06:00:00Z"},
		"over the week's end":          {[]string{"Sun 22:00 - Sun 02:00", "UTC"}, "2026-12-05T12:00:00Z", true, "2026-12-06T02:00:00Z"},
		"over midnight":                {[]string{"Tue 22:00 - Wed 06:00", "UTC"}, "2026-12-02T05:59:59Z", true, "2026-12-02T06:00:00Z"},
		"within a day":                 {[]string{"Wed 12:00 - Wed 13:00", "UTC"}, "2026-12-02T13:00:00Z", false, "2026-12-09T13:00:00Z"},
		"another zone's day": {[]string{"Mon 00:00 - Mon 08:00", "Pacific/Auckland"}, "2026-12-06T12:00:00Z", true,
			"2026-12-06T19:00:00Z"},
		// A time that clocks skip is the moment at which they do.
		"begins in the gap": {[]string{"Sun 02:30 - Sun 05:00", berlin}, "2026-03-29T00:59:59Z", false, "2026-03-29T03:00:00Z"},
		"began in the gap":  {[]string{"Sun 02:30 - Sun 05:00", berlin}, "2026-03-29T01:00:00Z", true, "2026-03-29T03:00:00Z"},
		"ends in the gap":   {[]string{"Sat 22:00 - Sun 02:30", berlin}, "2026-03-29T00:59:59Z", true, "2026-03-29T01:00:00Z"},
		"ended in the gap":  {[]string{"Sat 22:00 - Sun 02:30", berlin}, "2026-03-29T01:00:00Z", false, "2026-04-05T00:30:00Z"},
		"wholly in the gap": {[]string{"Sun 02:10 - Sun 02:50", berlin}, "2026-03-29T01:00:00Z", false, "2026-04-05T00:50:00Z"},
		// Of a time that clocks show twice a window begins the first time, and ends the second time.
		"begins in the fold": {[]string{"Sun 02:30 - Sun 05:00", berlin}, "2026-10-25T00:30:00Z", true, "2026-10-25T04:00:00Z"},
		"before the fold":    {[]string{"Sun 02:30 - Sun 05:00", berlin}, "2026-10-25T00:29:59Z", false, "2026-10-25T04:00:00Z"},
		"ends in the fold":   {[]string{"Sat 22:00 - Sun 02:30", berlin}, "2026-10-25T00:45:00Z", true, "2026-10-25T01:30:00Z"},
		"ended in the fold":  {[]string{"Sat 22:00 - Sun 02:30", berlin}, "2026-10-25T01:30:00Z", false, "2026-11-01T01:30:00Z"},
		"a gap of half an hour": {[]string{"Sun 02:15 - Sun 04:00", "Australia/Lord_Howe"}, "2026-10-03T15:30:00Z", true,
			"2026-10-03T17:00:00Z"},
		"a gap at midnight":       {[]string{"Sun 00:00 - Sun 03:00", "America/Santiago"}, "2026-09-06T04:00:00Z", true, "2026-09-06T06:00:00Z"},
		"dates, before":           {[]string{"2026-12-19 - 2027-01-04", berlin}, "2026-12-18T22:59:59Z", false, "2027-01-04T23:00:00Z"},
		"dates, the first moment": {[]string{"2026-12-19 - 2027-01-04", berlin}, "2026-12-18T23:00:00Z", true, "2027-01-04T23:00:00Z"},
		"dates, the last day":     {[]string{"2026-12-19 - 2027-01-04", berlin}, "2027-01-04T22:59:59Z", true, "2027-01-04T23:00:00Z"},
		"dates, over":             {[]string{"2026-12-19 - 2027-01-04", berlin}, "2027-01-04T23:00:00Z", false, ""},
		"one day":                 {[]string{"2026-12-24 - 2026-12-24", "UTC"}, "2026-12-24T12:00:00Z", true, "2026-12-25T00:00:00Z"},
		"a date's hours":          {[]string{"2026-12-24 12:00 - 2026-12-24 18:00", "UTC"}, "2026-12-24T18:00:00Z", false, ""},
		"a day that was skipped":  {[]string{"2011-12-30 - 2011-12-30", "Pacific/Apia"}, "2011-12-30T09:00:00Z", false, ""},
		// Windows that overlap or touch are one closing: until all of them are over.
		"overlapping": {[]string{weekend, berlin, "2026-12-06 - 2026-12-08", berlin}, "2026-12-04T15:00:00Z", true,
			"2026-12-08T23:00:00Z"},
		"touching": {[]string{"Mon 00:00 - Tue 00:00", "UTC", "Tue 00:00 - Wed 00:00", "UTC"}, "2026-12-07T01:00:00Z", true,
			"2026-12-09T00:00:00Z"},
		"within": {[]string{weekend, "UTC", "Sat 10:00 - Sat 11:00", "UTC"}, "2026-12-05T10:30:00Z", true,
			"2026-12-07T07:00:00Z"},
		"the weekends of a long one": {[]string{weekend, berlin, "2026-12-19 - 2027-01-04", berlin}, "2026-12-20T00:00:00Z", true,
			"2027-01-04T23:00:00Z"},
		"nothing": {nil, "2026-12-20T00:00:00Z", false, ""},
	} {
		now := at(t, c.now)
		closing := closedBy(t, c.windows...).At(now)
		assert.Equal(t, c.closed, closing.Holds(now), "%s: %s", name, closing)
		if c.until == "" {
			assert.True(t, closing.Until.IsZero(), "%s: %s", name, closing)
			assert.Empty(t, closing.String(), name)
			continue
		}
		assert.True(t, closing.Until.Equal(at(t, c.until)), "%s: %s", name, closing)
		assert.False(t, closing.Holds(closing.Until), name)
	}
}

func TestAClosingSaysUntilWhen(t *testing.T) {
	p := closedBy(t, "Fri 16:00 - Mon 07:00", "Europe/Berlin")
	p.Windows[0].Reason = "weekend"
	assert.Equal(t, "closed from Fri 2026-12-04 16:00 CET until Mon 2026-12-07 07:00 CET (weekend)",
		p.At(at(t, "2026-12-05T00:00:00Z")).String())
	always := closedBy(t, "Mon 00:00 - Fri 00:00", "UTC", "Fri 00:00 - Mon 00:00", "UTC").At(at(t, "2026-12-05T00:00:00Z"))
	assert.True(t, always.Never)
	assert.Contains(t, always.String(), "no time is in sight")
}

// Minute by minute over both changes of a year, a window is what a clock on the wall says, where it says it once.
func TestWindowsAgreeWithTheClock(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata"} {
		p := closedBy(t, "Sat 21:10 - Sun 04:20", zone)
		location, w := p.Windows[0].zone, p.Windows[0]
		for _, begin := range []string{"2026-03-07T00:00:00Z", "2026-03-27T00:00:00Z", "2026-04-03T00:00:00Z", "2026-09-04T00:00:00Z",
			"2026-10-02T00:00:00Z", "2026-10-23T00:00:00Z", "2026-10-30T00:00:00Z"} {
			for now := at(t, begin); now.Before(at(t, begin).Add(72 * time.Hour)); now = now.Add(10 * time.Minute) {
				here := now.In(location)
				minute := here.Hour()*60 + here.Minute()
				want := here.Weekday() == time.Saturday && minute >= w.from.minutes || here.Weekday() == time.Sunday && minute < w.to.minutes
				require.Equal(t, want, p.At(now).Holds(now), "%s", here)
			}
		}
	}
}
