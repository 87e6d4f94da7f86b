package stamp

import (
	"net/http"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/stamp"
)

// mounted says that the stamp information of this configuration is served: that of
// the first stamp in it.
type mounted struct{ stamp *stamp.Stamp }

// mountInfo serves the stamp's information over the API, as a stamp's privileged
// endpoint does.
func mountInfo(d *server.Directive, s *stamp.Stamp) error {
	var err error
	server.ShareAll(d, func() *mounted {
		m := &mounted{s}
		err = d.MountAPI("GET /api/v1/stamp", http.HandlerFunc(m.info))
		return m
	})
	return err
}

func (m *mounted) info(w http.ResponseWriter, _ *http.Request) {
	info, err := m.stamp.Info()
	if err != nil {
		server.WriteAPIError(w, http.StatusInternalServerError, "%s", err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(info) // an error is the client's: it has gone
}
