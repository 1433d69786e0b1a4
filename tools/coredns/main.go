// Command coredns is the cluster's DNS with only the plugins that it needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/template"
)

// The order in which a query passes the plugins, as in CoreDNS's plugin.cfg.
func init() {
	dnsserver.Directives = []string{"bind", "errors", "log", "cache", "template", "kubernetes"}
}

func main() {
	coremain.Run()
}
