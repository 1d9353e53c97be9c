// A component that is rendered again only when one of its properties is another one.

import { Component, createElement, type ComponentType, type FunctionComponent } from "preact";

export function memo<P extends object>(Inner: FunctionComponent<P>): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const now = this.props as Record<string, unknown>;
      const then = next as Record<string, unknown>;
      return Object.keys(then).some((name) => then[name] !== now[name]);
    }

    override render() {
      return createElement(Inner, this.props as P);
    }
  };
}
