package probe

import (
	"bytes"
	"testing"
	"time"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// FuzzNames looks at names as they may come in a packet: what is found to be a probe is
// one, and what is said of it has room in a record.
func FuzzNames(f *testing.F) {
	origin, err := wire.ParseName("plain.example")
	if err != nil {
		f.Fatal(err)
	}
	z, _, err := zones.Load(zones.TextSource("plain", []byte(zoneFiles()["plain"]), origin))
	if err != nil {
		f.Fatal(err)
	}
	h := &handler{store: zones.NewStore()}
	if err := h.store.Declare(origin, "fuzz"); err != nil {
		f.Fatal(err)
	}
	h.store.Put(z, 1, time.Now())
	for _, name := range []string{"k3v9x2m7q1.probe.plain.example", `a\.b\000.probe.plain.example`, "probe.plain.example", `\005probe.plain.example`, "probe", "."} {
		n, err := wire.ParseName(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(n))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		packet := append(append(make([]byte, wire.HeaderLen), data...), 0, 16, 0, 1)
		var buf [wire.MaxName]byte
		q, ok := wire.ParseQuestion(packet, &buf)
		if !ok {
			return
		}
		may, p := mayProbe(q.Name), h.find(q.Name)
		if p.zone == nil {
			return
		}
		if !may || !bytes.HasSuffix(q.Name, p.root) || p.root.String() != "probe.plain.example." || p.refusal != "" {
			t.Fatalf("%s: may %v, %+v", q.Name, may, p)
		}
		nonce := nonceOf(q.Name, p.root)
		if (nonce == nil) != (len(q.Name) == len(p.root)) || len(nonce) > wire.MaxLabel {
			t.Fatalf("%s: nonce %q", q.Name, nonce)
		}
		if nonce == nil {
			return
		}
		for _, fact := range facts(sighting{name: q.Name.String()}, nonce, p) {
			if len(fact.text) > maxString || fact.spare > mostSpare {
				t.Errorf("%s: %+v", q.Name, fact)
			}
		}
	})
}
