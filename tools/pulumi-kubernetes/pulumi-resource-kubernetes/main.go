// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider.
//
// It is served with an empty schema: previews, updates and charts need none,
// only importing existing resources would.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

var version string

func main() {
	provider.Serve("kubernetes", version, []byte("{}"), nil)
}
