package stamp

import (
	"fmt"
	"strings"
)

// Providers is a set of resource providers: the parts of a stamp that an
// operator adds. Everything else is on every stamp.
type Providers uint8

// The resource providers.
const (
	AppService Providers = 1 << iota
	SQL
	MySQL
	SSO // App Service's single sign-on, which early stamps have not
	EventHub
	IoTHub
	ContainerRegistry
)

// entry is one endpoint: a row of the inbound table of the network-integration
// page, or one that came later.
type entry struct {
	host     string // below the external zone
	endpoint string // the table's first column
	protocol string
	ports    string
	provider Providers // 0: on every stamp
	adfs     bool      // with AD FS only
	newer    bool      // not in the table
}

// catalogue is every endpoint, in the order of the table. The index of an entry
// is its place in the VIP pool: new entries go to the end, and none is ever
// taken out or moved.
var catalogue = [...]entry{
	{host: "adfs", endpoint: "AD FS", protocol: "HTTPS", ports: "443", adfs: true},
	{host: "adminportal", endpoint: "Portal (administrator)", protocol: "HTTPS", ports: "443"},
	{host: "*.adminhosting", endpoint: "Adminhosting", protocol: "HTTPS", ports: "443"},
	{host: "adminmanagement", endpoint: "Azure Resource Manager (administrator)", protocol: "HTTPS", ports: "443"},
	{host: "portal", endpoint: "Portal (user)", protocol: "HTTPS", ports: "443"},
	{host: "management", endpoint: "Azure Resource Manager (user)", protocol: "HTTPS", ports: "443"},
	{host: "graph", endpoint: "Graph", protocol: "HTTPS", ports: "443", adfs: true},
	{host: "crl", endpoint: "Certificate revocation list", protocol: "HTTP", ports: "80"},
	{host: "*.hosting", endpoint: "Hosting", protocol: "HTTPS", ports: "443"},
	{host: "*.vault", endpoint: "Key Vault (user)", protocol: "HTTPS", ports: "443"},
	{host: "*.adminvault", endpoint: "Key Vault (administrator)", protocol: "HTTPS", ports: "443"},
	{host: "*.queue", endpoint: "Storage Queue", protocol: "HTTP, HTTPS", ports: "80, 443"},
	{host: "*.table", endpoint: "Storage Table", protocol: "HTTP, HTTPS", ports: "80, 443"},
	{host: "*.blob", endpoint: "Storage Blob", protocol: "HTTP, HTTPS", ports: "80, 443"},
	{host: "sqladapter.dbadapter", endpoint: "SQL Resource Provider", protocol: "HTTPS", ports: "44300-44304", provider: SQL},
	{host: "mysqladapter.dbadapter", endpoint: "MySQL Resource Provider", protocol: "HTTPS", ports: "44300-44304", provider: MySQL},
	{host: "*.appservice", endpoint: "App Service", protocol: "TCP", ports: "80 (HTTP), 443 (HTTPS), 8172 (MSDeploy)", provider: AppService},
	{host: "*.scm.appservice", endpoint: "App Service", protocol: "TCP", ports: "443 (HTTPS)", provider: AppService},
	{host: "api.appservice", endpoint: "App Service", protocol: "TCP", ports: "443 (HTTPS), 44300 (Azure Resource Manager)", provider: AppService},
	{host: "ftp.appservice", endpoint: "App Service", protocol: "TCP & UDP", ports: "21, 1021, 10001-10100 (FTP), 990 (FTPS)", provider: AppService},
	{host: "sso.appservice", endpoint: "App Service", protocol: "TCP", ports: "443 (HTTPS)", provider: SSO, newer: true},
	{host: "*.sso.appservice", endpoint: "App Service", protocol: "TCP", ports: "443 (HTTPS)", provider: SSO, newer: true},
	{host: "*.eventhub", endpoint: "Event Hubs", protocol: "TCP", ports: "443 (HTTPS), 5671-5672 (AMQP), 9093 (Kafka)", provider: EventHub, newer: true},
	{host: "*.mgmtiothub", endpoint: "IoT Hub", protocol: "TCP", ports: "443 (HTTPS), 5671 (AMQP), 8883 (MQTT)", provider: IoTHub, newer: true},
	{host: "*.azsacr", endpoint: "Container Registry", protocol: "HTTPS", ports: "443", provider: ContainerRegistry, newer: true},
}

// has says whether the stamp has e, and which option would add it if not.
func (s *Stamp) has(e *entry) (has bool, option string) {
	if e.adfs && s.Identity != ADFS {
		return false, "identity adfs"
	}
	if e.provider&^s.Providers != 0 {
		return false, "with " + e.provider.names()[0]
	}
	return true, ""
}

// UnknownError is a name that is none of those that may stand in its place.
type UnknownError struct {
	What  string // what the name should be one of, such as "endpoint"
	Name  string
	Known []string
	Hint  string // more about this very name; may be empty
}

// Error lists what is known.
func (e *UnknownError) Error() string {
	hint := ""
	if e.Hint != "" {
		hint = " (" + e.Hint + ")"
	}
	return fmt.Sprintf("unknown %s %q%s: want one of %s", e.What, e.Name, hint, strings.Join(e.Known, ", "))
}

// findEntry finds an endpoint by its name below the external zone. The "*." of
// a wildcard may be left out where no other endpoint has the name without it.
func findEntry(name string) (int, error) {
	name = strings.ToLower(name)
	short := -1
	for i := range catalogue {
		switch catalogue[i].host {
		case name:
			return i, nil
		case "*." + name:
			short = i
		}
	}
	if short >= 0 {
		return short, nil
	}
	e := &UnknownError{What: "endpoint", Name: name}
	for i := range catalogue {
		e.Known = append(e.Known, catalogue[i].host)
	}
	return 0, e
}

// providerNames are the names of with and without: those that we write, then
// others by which a provider is known.
var providerNames = [...]struct {
	name  string
	set   Providers
	other bool
}{
	{name: "appservice", set: AppService},
	{name: "sql", set: SQL},
	{name: "mysql", set: MySQL},
	{name: "dbadapter", set: SQL | MySQL},
	{name: "sso", set: SSO},
	{name: "eventhub", set: EventHub},
	{name: "iothub", set: IoTHub},
	{name: "azsacr", set: ContainerRegistry},
	{name: "sqladapter.dbadapter", set: SQL, other: true},
	{name: "mysqladapter.dbadapter", set: MySQL, other: true},
	{name: "sso.appservice", set: SSO, other: true},
	{name: "eventhubs", set: EventHub, other: true},
	{name: "mgmtiothub", set: IoTHub, other: true},
	{name: "containerregistry", set: ContainerRegistry, other: true},
}

// parseProvider reads a provider's name, or the table's name of its endpoint.
func parseProvider(name string) (Providers, error) {
	short := strings.TrimPrefix(strings.ToLower(name), "*.")
	e := &UnknownError{What: "resource provider", Name: name}
	for _, p := range providerNames {
		if p.name == short {
			return p.set, nil
		}
		if !p.other {
			e.Known = append(e.Known, p.name)
		}
	}
	if i, err := findEntry(name); err == nil {
		switch c := &catalogue[i]; {
		case c.adfs:
			e.Hint = "identity adfs or entra decides about it"
		case c.provider == 0:
			e.Hint = "it is on every stamp"
		default:
			e.Hint = "it comes with " + c.provider.names()[0]
		}
	}
	return 0, e
}

// names lists the providers of p by the names that we write.
func (p Providers) names() []string {
	var names []string
	for _, n := range providerNames {
		if one := n.set&(n.set-1) == 0; one && !n.other && p&n.set != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// String lists the providers, separated by blanks.
func (p Providers) String() string { return strings.Join(p.names(), " ") }
