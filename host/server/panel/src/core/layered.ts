// A layered layout with few crossings, by dagre: for graphs of up to some hundred nodes.

import { Graph, layout } from "@dagrejs/dagre";
import type { Edge, Layout, Node, Size } from "./columns";

export function layered(nodes: readonly Node[], size: Size): Layout {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: size.gapY, ranksep: size.gapX, edgesep: 4, ranker: "tight-tree" });
  graph.setDefaultEdgeLabel(() => ({}));
  const ids = new Set(nodes.map((node) => node.id));
  for (const node of nodes) graph.setNode(node.id, { width: size.width, height: size.height });
  for (const node of nodes) {
    for (const id of node.before) if (ids.has(id)) graph.setEdge(id, node.id);
  }
  layout(graph);
  const at = new Map(nodes.map((node) => {
    const { x, y } = graph.node(node.id) as { x: number; y: number };
    return [node.id, { x, y }];
  }));
  const edges: Edge[] = graph.edges().map((edge) => {
    const { points } = graph.edge(edge) as { points: { x: number; y: number }[] };
    return { from: edge.v, to: edge.w, points };
  });
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { width, height, at, edges };
}
