package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"
)

// TestProbeTheStamp asks a served stamp itself, whose API then knows of it.
func TestProbeTheStamp(t *testing.T) {
	r := serve(t, loopback(), append(slices.Clone(free), "--api", "127.0.0.1:0")...)
	defer r.stop()
	server := regexp.MustCompile(`azs-ns02\S* +(\S+) port (\d+)`).FindStringSubmatch(r.stdout)
	api := regexp.MustCompile(`api +(http://\S+)`).FindStringSubmatch(r.stdout)
	if server == nil || api == nil {
		t.Fatal("the summary lacks ns02 or the API")
	}
	code, stdout, stderr := runAgainst(nil, "probe", "--resolver", server[1]+":"+server[2], "--api", api[1], "--json")
	var report probeReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if !report.Reached || !report.Joined || report.ZonesFrom != "api" || len(report.Zones) != 2 || report.Zones[1].Zone != "east.cloudapp.cloud.fabrikam.com." {
		t.Errorf("%s", stdout)
	}
	for _, z := range report.Zones {
		for _, try := range z.Tries {
			if try.Way != "asked the stamp itself" || try.NS != "ns02" || len(try.Sightings) != 1 || try.Sightings[0].Source != try.Source || len(try.Notes) != 0 {
				t.Errorf("%+v", try)
			}
		}
	}
	if code, stdout, stderr := runAgainst(nil, "probe", "--resolver", server[1]+":"+server[2], "--api", api[1], "--zone", "elsewhere.example"); code != exitFailed ||
		!regexp.MustCompile(`(?m)^elsewhere\.example: not reached: REFUSED: what answers is no resolver .*; the stamp did not see the query$`).MatchString(stdout) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
