// Command libcni is a minimal container runtime on containernetworking/cni's own library, so that the
// plugins are called, and their results parsed, exactly as by the runtimes that use it.
//
//	libcni validate|add|check|del|cached <REQUEST
//	libcni versions
//
// REQUEST is a JSON object, see request. Prints a JSON object, see reply; exits with 1 on an error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

type request struct {
	Conflist       json.RawMessage
	BinDirs        []string
	CacheDir       string
	ContainerID    string
	NetNS          string
	IfName         string
	Args           [][2]string
	CapabilityArgs map[string]interface{}
}

type reply struct {
	// Version of the result as libcni parsed it.
	Version string `json:"version,omitempty"`
	// Result in that version's own type.
	Result types.Result `json:"result,omitempty"`
	// Result converted by libcni to the newest type it knows.
	Newest *types100.Result `json:"newest,omitempty"`
	// Capabilities that ValidateNetworkList found.
	Capabilities []string `json:"capabilities,omitempty"`
	// Error is the plugin's error object, or libcni's own error as its message.
	Error error  `json:"-"`
	Code  uint   `json:"code,omitempty"`
	Msg   string `json:"msg,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: libcni validate|add|check|del|cached <REQUEST; libcni versions")
		os.Exit(2)
	}
	if os.Args[1] == "versions" {
		_ = json.NewEncoder(os.Stdout).Encode(version.All.SupportedVersions())
		return
	}
	answer := handle(os.Args[1])
	if answer.Error != nil {
		answer.Msg = answer.Error.Error()
	}
	var pluginError *types.Error
	if errors.As(answer.Error, &pluginError) {
		answer.Code = pluginError.Code
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if answer.Error != nil {
		os.Exit(1)
	}
}

func handle(verb string) reply {
	var req request
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil {
		return reply{Error: err}
	}
	list, err := libcni.ConfListFromBytes(req.Conflist)
	if err != nil {
		return reply{Error: err}
	}
	cni := libcni.NewCNIConfigWithCacheDir(req.BinDirs, req.CacheDir, nil)
	runtime := &libcni.RuntimeConf{
		ContainerID:    req.ContainerID,
		NetNS:          req.NetNS,
		IfName:         req.IfName,
		Args:           req.Args,
		CapabilityArgs: req.CapabilityArgs,
	}
	ctx := context.Background()
	switch verb {
	case "validate":
		capabilities, err := cni.ValidateNetworkList(ctx, list)
		return reply{Capabilities: capabilities, Error: err}
	case "add":
		return withResult(cni.AddNetworkList(ctx, list, runtime))
	case "cached":
		return withResult(cni.GetNetworkListCachedResult(list, runtime))
	case "check":
		return reply{Error: cni.CheckNetworkList(ctx, list, runtime)}
	case "del":
		return reply{Error: cni.DelNetworkList(ctx, list, runtime)}
	}
	return reply{Error: fmt.Errorf("unknown verb %q", verb)}
}

func withResult(result types.Result, err error) reply {
	if err != nil || result == nil {
		return reply{Error: err}
	}
	newest, err := types100.NewResultFromResult(result)
	return reply{Version: result.Version(), Result: result, Newest: newest, Error: err}
}
