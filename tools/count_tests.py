"""Prints `N passed, N failed, N skipped` for one run of `bazel test`.

Usage: count_tests.py EVENTS, where EVENTS is what Bazel has written to its
--build_event_json_file. It names the targets of the run and their test XML
files, those of cached results included. The exit status is 1 if a test failed
or none ran.
"""

import collections
import json
import sys
import urllib.parse
import xml.etree.ElementTree


def read_events(path):
  """Yields the events as (kind, identity, whole event)."""
  with open(path, encoding="utf-8") as lines:
    for line in lines:
      event = json.loads(line)
      ((kind, identity),) = event["id"].items()
      yield kind, identity, event


def count_cases(path):
  """Counts the test cases of one XML file by their outcome."""
  counts = collections.Counter()
  for case in xml.etree.ElementTree.parse(path).iter("testcase"):
    outcomes = {child.tag for child in case}
    if outcomes & {"failure", "error"}:
      counts["failed"] += 1
    elif "skipped" in outcomes:
      counts["skipped"] += 1
    else:
      counts["passed"] += 1
  return counts


def count_result(result):
  """Counts the test cases of one run of a target, or of a shard of it."""
  counts = collections.Counter()
  for output in result.get("testActionOutput", []):
    if output["name"] == "test.xml":
      counts += count_cases(
        urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
      )
  if result["status"] != "PASSED" and not counts["failed"]:
    counts["failed"] += 1  # It broke down before it could report.
  return counts


def count_tests(events):
  """Counts the test cases of a whole run."""
  targets = set()
  results = {}
  succeeded = False
  for kind, identity, event in events:
    if kind == "targetConfigured" and "testSize" in event.get("configured", {}):
      targets.add(identity["label"])
    elif kind == "testResult":
      # A later attempt at the same shard replaces the earlier one.
      key = identity["label"], identity.get("run"), identity.get("shard")
      results[key] = event["testResult"]
    elif kind == "buildFinished":
      succeeded = event["finished"]["exitCode"].get("code", 0) == 0

  counts = sum(map(count_result, results.values()), collections.Counter())
  counts["failed"] += len(targets - {label for label, *_ in results})
  if not succeeded and not counts["failed"]:
    counts["failed"] = 1  # The build files themselves are at fault.
  return counts


def main(argv):
  """Prints the counts of the events in argv[1]."""
  counts = count_tests(read_events(argv[1]))
  print(", ".join(f"{counts[k]} {k}" for k in ("passed", "failed", "skipped")))
  return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv))
