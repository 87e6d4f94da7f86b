package cache

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stampdns/stampdns/server/servertest"
)

func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"cache 0", `TTL: "0" is not a number from 1`},
		{"cache -1", `TTL: "-1"`},
		{"cache a..b", "empty label"},
		{"cache\n cache", "stands twice"},
		{"cache {\n succes 1\n }", `did you mean "success"?`},
		{"cache {\n success\n }", "success takes 1 to 3 arguments"},
		{"cache {\n success 0\n }", `success: CAPACITY: "0" is not a number from 1`},
		{"cache {\n denial 10 0\n }", `denial: TTL: "0"`},
		{"cache {\n denial 10 9 x\n }", `denial: MINTTL: "x"`},
		{"cache {\n servfail 6m\n }", "servfail: 6m0s is too long: at most 5m0s"},
		{"cache {\n servfail -1s\n }", "too short"},
		{"cache {\n servfail 5\n }", `servfail: "5" is no duration`},
		{"cache {\n prefetch\n }", "prefetch takes 1 to 3 arguments"},
		{"cache {\n prefetch -1\n }", `prefetch: AMOUNT: "-1"`},
		{"cache {\n prefetch 1 0s\n }", "too short"},
		{"cache {\n prefetch 1 1m 10\n }", `"10" is no percentage`},
		{"cache {\n prefetch 1 1m 5%\n }", `PERCENTAGE: "5" is not a number from 10 to 90`},
		{"cache {\n serve_stale 0s\n }", "too short"},
		{"cache {\n serve_stale 1h verfy\n }", `did you mean "verify"?`},
		{"cache {\n disable\n }", "at least one argument"},
		{"cache {\n disable errors\n }", `unknown kind "errors"`},
		{"cache {\n keepttl yes\n }", "keepttl takes no arguments"},
		{"cache {\n capacity 64\n }", `"64" is no size from 1MB`},
		{"cache {\n capacity 1XB\n }", `"1XB" is no size`},
		{"cache {\n capacity 2000GB\n }", `"2000GB" is no size`},
		{"cache {\n capacity MB\n }", `"MB" is no size`},
	} {
		_, err := servertest.Try(t, ".:0 {\n "+tc.text+"\n}", Plugin())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want …%s…", tc.text, err, tc.want)
		}
		if err != nil && !strings.Contains(err.Error(), "/Corefile:") {
			t.Errorf("%q: no place in %v", tc.text, err)
		}
	}
}

func TestOptions(t *testing.T) {
	l := newLab(t, `cache 100 contoso.com {
	success 5000 200 10
	denial 2500 20
	servfail 1m
	prefetch 10 2m 25%
	serve_stale 24h verify
	capacity 3MiB
	disable denial a.contoso.com b.contoso.com
	disable denial c.contoso.com
 }`)
	o := *l.h.options
	if got := fmt.Sprint(o.zones, o.disable); got != "[contoso.com.] [[] [a.contoso.com. b.contoso.com. c.contoso.com.]]" {
		t.Errorf("zones %s", got)
	}
	o.zones, o.disable[1] = nil, nil
	const want = "{zones:[] all:false bounds:[{entries:5000 least:10 most:200} {entries:2500 least:5 most:20}] servfail:600 " +
		"prefetch:10 gap:1200 percentage:25 staleFor:864000 verify:true keepTTL:false capacity:3145728 " +
		"disable:[[] []]}"
	if got := fmt.Sprintf("%+v", o); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}
