// Command netpol enforces NetworkPolicies on this node: kube-router's controller without its router and proxy.
package main

import (
	"errors"
	"flag"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file to reach the API server with")
	node := flag.String("hostname-override", "", "name of this node")
	services := flag.String("service-cluster-ip-range", "10.96.0.0/16", "addresses of Services")
	nodePorts := flag.String("node-port-range", "32766-32767", "ports that pods may reach on the node, first-last")
	period := flag.Duration("sync-period", time.Minute, "how often all rules are written again")
	flag.Parse()

	config := options.NewKubeRouterConfig()
	config.EnableIPv4, config.EnableIPv6, config.RunFirewall = true, false, true
	config.ClusterIPCIDRs = []string{*services}
	config.NodePortRange = *nodePorts
	config.HostnameOverride = *node
	config.IPTablesSyncPeriod = *period
	if err := enforce(*kubeconfig, config); err != nil {
		klog.ErrorS(err, "NetworkPolicies are not enforced")
		klog.Flush()
		os.Exit(1)
	}
}

// enforce runs until a signal; the rules stay in place afterwards.
func enforce(kubeconfig string, config *options.KubeRouterConfig) error {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()

	iptables, ipsets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	seenPods, seenPolicies := oneLook(pods, policies)
	controller, err := netpol.NewNetworkPolicyController(
		client, config, seenPods, seenPolicies, namespaces, &sync.Mutex{}, nil, iptables, ipsets)
	if err != nil {
		return err
	}

	stop := make(chan struct{})
	factory.Start(stop)
	// Rules made from half a list would cut pods off that are allowed.
	if !cache.WaitForCacheSync(stop, pods.HasSynced, namespaces.HasSynced, policies.HasSynced) {
		return errors.New("the API server's pods, namespaces and policies could not be listed")
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods: controller.PodEventHandler, namespaces: controller.NamespaceEventHandler,
		policies: controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}

	heartbeats := make(chan *healthcheck.ControllerHeartbeat, 10)
	go func() {
		for range heartbeats { // nobody asks for its health over HTTP: no port is opened
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	go controller.Run(heartbeats, stop, &running)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	close(stop)
	running.Wait()
	return nil
}
