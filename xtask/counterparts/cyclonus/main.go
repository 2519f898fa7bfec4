// Command cyclonus tells what NetworkPolicies let through, by cyclonus' reading of them and without any of ours.
//
// It reads a JSON object from its standard input: "policies", a list of NetworkPolicies, and "traffic", a list of
// connections in cyclonus' own form. It prints a line for each connection: "yes" or "no".
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	networking "k8s.io/api/networking/v1"
)

func main() {
	var asked struct {
		Policies []*networking.NetworkPolicy
		Traffic  []*matcher.Traffic
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, "read policies and traffic:", err)
		os.Exit(1)
	}
	policies := matcher.BuildNetworkPolicies(false, asked.Policies)
	for _, traffic := range asked.Traffic {
		if policies.IsTrafficAllowed(traffic).IsAllowed() {
			fmt.Println("yes")
		} else {
			fmt.Println("no")
		}
	}
}
