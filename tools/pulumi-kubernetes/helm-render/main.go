// Command helm-render renders a local chart without a cluster, as Pulumi's helm.v4.Chart does.
//
// Like Chart it leaves hooks out, puts CRDs in, and checks the values against the chart's values.schema.json. With
// -hooks the hooks come last, for whoever wants to know what Chart would leave out.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
)

type request struct {
	chart, values, name, namespace, kubeVersion string
	hooks                                       bool
}

func main() {
	var wanted request
	flag.StringVar(&wanted.chart, "chart", "", "folder of the chart")
	flag.StringVar(&wanted.values, "values", "", "YAML file of values (default: the chart's own)")
	flag.StringVar(&wanted.name, "name", "", "name of the release")
	flag.StringVar(&wanted.namespace, "namespace", "default", "namespace of the release")
	flag.StringVar(&wanted.kubeVersion, "kube-version", "v1.35.4", "Kubernetes version that the chart sees")
	flag.BoolVar(&wanted.hooks, "hooks", false, "print the chart's hooks too")
	flag.Parse()
	if wanted.chart == "" || wanted.name == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	manifest, err := render(wanted)
	if err != nil {
		fmt.Fprintf(os.Stderr, "helm-render: %v\n", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.WriteString(manifest); err != nil {
		fmt.Fprintf(os.Stderr, "helm-render: %v\n", err)
		os.Exit(1)
	}
}

func render(wanted request) (string, error) {
	loaded, err := loadChart(wanted.chart)
	if err != nil {
		return "", err
	}
	values, err := loadValues(wanted.values)
	if err != nil {
		return "", err
	}
	version, err := chartutil.ParseKubeVersion(wanted.kubeVersion)
	if err != nil {
		return "", fmt.Errorf("Kubernetes version %q: %w", wanted.kubeVersion, err)
	}
	// The settings of pulumi-kubernetes's pkg/helm/tool.go and pkg/provider/helm/v4/chart.go, without a server.
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.ClientOnly, install.DryRun, install.DryRunOption = true, true, "client"
	install.Replace, install.DisableHooks, install.IncludeCRDs = true, true, true
	install.DisableOpenAPIValidation = true
	install.ReleaseName, install.Namespace, install.KubeVersion = wanted.name, wanted.namespace, version
	made, err := install.Run(loaded, values)
	if err != nil {
		return "", err
	}
	if !wanted.hooks {
		return made.Manifest, nil
	}
	return made.Manifest + hooks(made.Hooks), nil
}

// hooks prints hooks as Helm prints the other manifests.
func hooks(of []*release.Hook) string {
	var text strings.Builder
	for _, hook := range of {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
	}
	return text.String()
}

func loadChart(folder string) (*chart.Chart, error) {
	loaded, err := loader.LoadDir(folder)
	if err != nil {
		return nil, err
	}
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return nil, fmt.Errorf("%s is a %s chart: only application charts render", folder, kind)
	}
	if missing := action.CheckDependencies(loaded, loaded.Metadata.Dependencies); missing != nil {
		return nil, errors.Join(errors.New("a dependency is not in the chart's folder charts/"), missing)
	}
	return loaded, nil
}

func loadValues(file string) (chartutil.Values, error) {
	if file == "" {
		return chartutil.Values{}, nil
	}
	return chartutil.ReadValuesFile(file)
}
